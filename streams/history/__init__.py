"""History: what became of every signal, projected from the topics into a database that can be searched."""
