"""The head of a log, what is signed of it and put out of reach, and what must hold before anything is appended."""
