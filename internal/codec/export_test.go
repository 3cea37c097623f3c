package codec

// InternedNames counts what the table holds, which nothing else can see.
func InternedNames(in *Interner) int { return len(in.names) }
