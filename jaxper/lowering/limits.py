"""Measured thresholds, each with the row of `benchmarks/NOTES.md` that justifies it.

A name says the platform that it concerns and the unit in which it counts; `ANY` is every platform.
They choose between ways to compute the same numbers. The last two also decide the arrays of a
state: whoever changes one raises `saving.manifest.FORMAT`, as old checkpoints no longer fit.
"""

# Rows of a batch up to which one thread of a CPU is faster than two.
# NOTES: "a kernel that ends in an update of a slice of a larger buffer".
CPU_ONE_THREAD_ROWS = 512

# Rows of a batch up to which XLA itself uses one thread, unless the array that it reads is large.
# NOTES: "a kernel that ends in an update of a slice of a larger buffer".
CPU_XLA_ONE_THREAD_ROWS = 64

# Numbers of an array above which XLA reads it with all threads, however small the batch.
# NOTES: "a kernel that ends in an update of a slice of a larger buffer".
CPU_XLA_LARGE_ARRAY_NUMBERS = 2**16

# Words in a batch of whole items up to which one thread is as fast as two.
# NOTES: "wide rows (34 to 126 words ...) on one thread".
CPU_ONE_THREAD_ITEM_WORDS = 2**16

# Words in a batch of a stream's fields up to which one thread is as fast as two.
# NOTES: "the reads of a stream on one thread".
CPU_ONE_THREAD_STREAM_WORDS = 2**14

# Leaves or sums of one level that no longer fit the caches near a core.
# NOTES: "a pass that only reads one word per cache line".
CPU_OUT_OF_CACHE_LEAVES = 2**19

# Words of stored items that no longer fit the caches near a core.
# NOTES: "wide rows (34 to 126 words ...), and rows touched first from 2^22 words on".
CPU_OUT_OF_CACHE_WORDS = 2**22

# Words in a cache line, the unit in which a CPU reads memory.
CPU_CACHE_LINE_WORDS = 16

# Rows of an update up to which comparing all pairs of them is faster than writing claims.
# NOTES: "duplicates by comparing all pairs (GPU)".
ANY_COMPARED_ROWS = 64
GPU_COMPARED_ROWS = 2048

# Rows of an update below which a GPU would add up its counts again in each operation that uses one.
# NOTES: "Found late, since every benchmark added 64 items ...".
GPU_RECOUNTED_ROWS = 32

# Rows of the highest level of the tree that is stored; a draw adds up what is above it.
# NOTES: "levels above one of 256 rows computed by the draw, not stored".
ANY_TOP_LEVEL_ROWS = 256

# Bytes from which on an array of an item is stored by itself, not among the words of the item.
# NOTES: "large leaves (images) stored as words too".
ANY_PACKED_ARRAY_BYTES = 1024
