"""Evidence bundles: what belongs in one, its page for people, its bytes, and the verifier that stands alone."""
