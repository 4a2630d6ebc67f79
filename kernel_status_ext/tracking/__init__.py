"""What remembers and watches kernels, and knows nothing of Jupyter's managers or of HTTP."""
