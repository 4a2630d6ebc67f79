"""The seam: the only floor that touches Jupyter's managers and their private parts."""
