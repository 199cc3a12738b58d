package quern.plan;

import java.util.List;
import java.util.function.ToLongFunction;
import quern.format.Format;
import quern.format.Joint;
import quern.method.Method;
import quern.tensor.TensorSpec;

/** What a plan without calibration takes: each weight passes a core once, on its way from file to file. */
final class CastCost {
    /** Of a core for a weight, reading and writing included, and the seconds before and after; as measured, see DESIGN.md. */
    private static final double SECONDS_OF_WEIGHT = 8e-9;

    private static final double AROUND = 8;

    /** Of a weight in a panel: as it is stored and as a float, its row beside it, its code and the bytes of that. */
    private static final int BYTES_OF_WEIGHT = 12;

    private final List<Plan.LinearPlan> linears;
    private final Method method;
    private final Format format;

    CastCost(List<Plan.SitePlan> sites, Method method, Format format) {
        linears = sites.stream().flatMap(s -> s.linears().stream()).toList();
        this.method = method;
        this.format = format;
    }

    double seconds(int slots) {
        return AROUND + linears.stream().mapToLong(CastCost::weights).sum() * SECONDS_OF_WEIGHT / slots;
    }

    List<Plan.Term> memory() {
        return List.of(
                new Plan.Term(
                        "panels of rows",
                        3 * most(l -> (long) Panels.rows(method, format, l) * l.inputs() * BYTES_OF_WEIGHT)),
                new Plan.Term("what is kept of a linear until its last panel", most(this::kept)),
                new Plan.Term("a linear read again", most(l -> packed(l) + weights(l))));
    }

    /** All but the codes where these pass through. */
    private long kept(Plan.LinearPlan linear) {
        List<Joint> joints = format.joints(linear.scheme());
        boolean passes = !joints.isEmpty() && joints.get(0) == Joint.ROWS;
        return packed(linear) - (passes ? layout(linear).get(0).bytes() : 0);
    }

    private long packed(Plan.LinearPlan linear) {
        return layout(linear).stream().mapToLong(TensorSpec::bytes).sum();
    }

    private List<TensorSpec> layout(Plan.LinearPlan linear) {
        return format.layout(linear.name(), linear.outputs(), linear.inputs(), linear.scheme());
    }

    private static long weights(Plan.LinearPlan linear) {
        return (long) linear.outputs() * linear.inputs();
    }

    private long most(ToLongFunction<Plan.LinearPlan> bytes) {
        return linears.stream().mapToLong(bytes).max().orElse(0);
    }
}
