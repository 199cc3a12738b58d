package quern.plan;

import quern.format.Format;
import quern.method.Method;
import quern.scheme.Scheme;

/** Into which panels of rows a weight is cut where no calibration is needed: each is read, quantized, packed and forgotten. */
public final class Panels {
    /** Weights of a panel, about: what is made of them stays in a core's cache. */
    static final int WEIGHTS = 1 << 17;

    private Panels() {}

    /** Rows of a panel; all rows where the method, the format or shared scales need the weight as a whole. */
    public static int rows(Method method, Format format, Plan.LinearPlan linear) {
        Scheme scheme = linear.scheme();
        if (!method.byRows() || format.joints(scheme).isEmpty() || scheme.rowsOfScale() == -1) {
            return linear.outputs();
        }
        int unit = leastCommonMultiple(Format.PANEL, scheme.rowsOfScale());
        int rows = Math.max(1, WEIGHTS / linear.inputs() / unit) * unit;
        return Math.min(rows, linear.outputs());
    }

    private static int leastCommonMultiple(int a, int b) {
        int multiple = a;
        while (multiple % b != 0) {
            multiple += a;
        }
        return multiple;
    }
}
