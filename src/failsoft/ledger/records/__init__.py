"""What records say: the closed list of types, typed builders for each, and how an emitter numbers them."""
