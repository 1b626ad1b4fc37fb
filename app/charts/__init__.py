"""Pure figure builders: a frame and a palette in, a Plotly figure (as a dictionary) out. IBCS conventions throughout."""
