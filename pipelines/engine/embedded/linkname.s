// Functions whose bodies are in other packages need a file of assembler in theirs.
