"""The tests, one folder for each part of the tree, and the programs that prove the guarantees."""
