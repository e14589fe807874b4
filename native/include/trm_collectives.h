/* trm_collectives.h: the entries of the table that connect ranks, the processes that train one model together. A part of
 * struct trm_backend, by the rules of trm_ops.h, which includes it in its place.
 *
 * R is the number of ranks. All ranks call the same collectives in the same order with the same sizes. Each entry fails in
 * every rank that waits for one that does not come within the time of `join`; what it should have written is undefined
 * then, and no further collective may follow.
 */
/* clang-format off */
    /* ---- ranks -------------------------------------------------------------------------------------------------- */
    /** Joins the ranks that the same launcher has started: *rank is the number of this one, from 0, *ranks how many they
     *  are. A collective waits at most `timeout` seconds for the others. Once in a process. */
    int (*join)(int32_t* rank, int32_t* ranks, double timeout);
    /** Leaves them, after their last collective. */
    int (*leave)(void);
    /** Ends all ranks at once, this one too, with an exit code; for after an error. Does not return. */
    int (*end_ranks)(int32_t code);

    /** values = sum over the ranks, added up in double in the order of the ranks, rounded once; the same bits in all of
     *  them. values [count] in place. */
    int (*all_reduce)(float* values, int64_t count, trm_stream stream);
#define TRM_CHECK_all_reduce TRM_GIVEN(values) TRM_POSITIVE(count)
    /** The same of float64. values [count] in place. */
    int (*all_reduce_double)(double* values, int64_t count, trm_stream stream);
#define TRM_CHECK_all_reduce_double TRM_GIVEN(values) TRM_POSITIVE(count)
    /** all = what the ranks have as own, in their order. part [bytes] uint8, all [R bytes] uint8, other memory. */
    int (*all_gather)(const void* part, void* all, int64_t bytes, trm_stream stream);
#define TRM_CHECK_all_gather TRM_GIVEN(part, all) TRM_APART(part, all) TRM_POSITIVE(bytes)
    /** data = that of rank `root`, in all of them. data [bytes] uint8 in place. */
    int (*broadcast)(void* data, int64_t bytes, int32_t root, trm_stream stream);
#define TRM_CHECK_broadcast TRM_GIVEN(data) TRM_POSITIVE(bytes) TRM_NOT_NEGATIVE(root)
