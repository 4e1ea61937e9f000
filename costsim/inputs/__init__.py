"""What is said: files, quantities, the catalogue; validated and turned into numbers of the pure core."""
