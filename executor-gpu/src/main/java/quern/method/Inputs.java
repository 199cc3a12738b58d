package quern.method;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import quern.device.Device;
import quern.tensor.Matrix;

/**
 * What a sweep knows of the inputs of a linear; or of those of k linears of one shape and scheme that are solved as a stack, each
 * with a Hessian of its own.
 *
 * @param columns k: their orders, which differ; not so lengths of groups
 * @param dead k of n: columns that no token reaches
 * @param importance k x n, in the order of groups: what a squared error weighs in the search of scales
 * @param hessian of all, in these orders
 */
record Inputs(List<Columns> columns, List<boolean[]> dead, Matrix importance, DampedHessian hessian)
        implements AutoCloseable {
    static Inputs of(Columns columns, boolean[] dead, float[] importance, DampedHessian hessian) {
        return new Inputs(List.of(columns), List.of(dead), new Matrix(1, importance.length, importance), hessian);
    }

    /** Makes one of several, in their place: they are closed. */
    static Inputs stack(List<Inputs> members, Device device) {
        if (members.size() == 1) {
            return members.get(0);
        }
        int n = members.get(0).inputs();
        List<Columns> columns = new ArrayList<>();
        List<boolean[]> dead = new ArrayList<>();
        Matrix importance = Matrix.zeros(members.size(), n);
        for (int m = 0; m < members.size(); m++) {
            Inputs member = members.get(m);
            columns.addAll(member.columns);
            dead.addAll(member.dead);
            System.arraycopy(member.importance.values(), 0, importance.values(), m * n, n);
        }
        try {
            DampedHessian stacked =
                    DampedHessian.stack(members.stream().map(Inputs::hessian).toList(), device);
            return new Inputs(columns, dead, importance, stacked);
        } finally {
            members.forEach(Inputs::close);
        }
    }

    /** The same for groups of another length, where the order does not depend on it. */
    Inputs inGroups(int length) {
        return length == length()
                ? this
                : new Inputs(columns.stream().map(c -> c.inGroups(length)).toList(), dead, importance, hessian);
    }

    /** k. */
    int members() {
        return columns.size();
    }

    /** n. */
    int inputs() {
        return importance.cols();
    }

    /** Columns of a group. */
    int length() {
        return columns.get(0).length();
    }

    /** Numbers of columns or groups for each member. */
    int[][] each(Function<Columns, int[]> numbers) {
        return columns.stream().map(numbers).toArray(int[][]::new);
    }

    @Override
    public void close() {
        hessian.close();
    }
}
