"""Providers as codecs: an ask becomes a request, a reply becomes an answer or a fault. No I/O."""
