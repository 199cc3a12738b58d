package quern.scheme;

/** How the scale of a group is chosen. After a sweep, {@link #DIAGONAL} and {@link #SALIENCY} go on to fit it to the codes; the others leave it. */
public enum ScaleRule {
    /** As is usual for the format, see {@link Recipe#orElse}. */
    OPEN,
    /** From the largest weight: nothing is clipped. */
    MAX,
    /** The classic tool's grid search: sum of |error|^2.4 over 80 shrunk ranges. */
    MSE,
    /** Search with errors squared and weighted by diag(H). */
    DIAGONAL,
    /** Search with errors squared and weighted by 1 / diag(inv H), the saliency of Optimal Brain Surgeon. */
    SALIENCY
}
