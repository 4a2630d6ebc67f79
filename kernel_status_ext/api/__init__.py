"""HTTP: handlers parse, ask and answer; they decide nothing."""
