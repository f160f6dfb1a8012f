"""The guest engine: WASM in, one turn at a time; everything a guest says is checked before it is used."""
