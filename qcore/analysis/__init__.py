"""Looking into models: what quantization did to them."""
