package quern.scheme;

/** In which order GPTQ takes the columns of a weight, and what becomes of its groups. */
public enum ColumnOrder {
    /** Groups and their scales are fixed first, columns taken by falling diag(H). No g_idx; free at inference. */
    STATIC,
    /** Group-aware: whole groups by falling diag(H), columns by falling diag(H) inside a group. No g_idx. */
    GROUP,
    /** Columns by falling diag(H), groups formed in that order: needs g_idx at inference (desc_act). */
    FULL,
    /** Natural order. */
    OFF
}
