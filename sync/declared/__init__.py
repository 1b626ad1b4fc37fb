"""Sources that are declared, not programmed: records of text columns and a declaration -> canonical frames and rejects. Pure."""
