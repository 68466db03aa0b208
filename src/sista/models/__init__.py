"""Image encoders, text encoders, projections, and the dual encoder made of them."""
