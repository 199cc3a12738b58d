package quern.method;

import quern.device.Device;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/** Puts the panels of a weight together, and sums their losses. */
final class Assembly {
    private final Scheme scheme;
    private final Columns columns;
    private final int outputs;
    private final float divisor;
    private final int n;
    private final byte[] codes; // outputs x n, natural order
    private final Scales scales; // outputs x groups
    private double loss;
    private double roundToNearest;
    private double weightNorm;

    Assembly(Scheme scheme, Columns columns, int outputs, float divisor) {
        this.scheme = scheme;
        this.divisor = divisor;
        this.columns = columns;
        this.outputs = outputs;
        n = columns.natural().length;
        codes = new byte[Math.multiplyExact(outputs, n)];
        scales = Scales.of(outputs, scheme, n);
    }

    /** Takes rows from {@code row} on. */
    void add(int row, Panel panel, DampedHessian h, Device device) {
        for (int r = 0; r < panel.rows(); r++) {
            for (int i = 0; i < n; i++) {
                codes[(row + r) * n + columns.natural()[i]] = panel.codes()[r * n + i];
            }
        }
        int groups = scales.groups();
        System.arraycopy(panel.scales().scales(), 0, scales.scales(), row * groups, panel.rows() * groups);
        System.arraycopy(panel.scales().zeros(), 0, scales.zeros(), row * groups, panel.rows() * groups);
        copy(panel.scales().units().scales(), scales.units().scales(), row, panel.rows());
        copy(panel.scales().units().minima(), scales.units().minima(), row, panel.rows());
        loss += Panel.loss(panel.error(), h, device);
        roundToNearest += Panel.loss(plainError(panel), h, device);
        weightNorm += Panel.loss(panel.weights(), h, device);
    }

    private void copy(float[] units, float[] into, int row, int rows) {
        System.arraycopy(units, 0, into, row * (units.length / rows), units.length);
    }

    /** The errors of the same rows rounded to nearest on grids by max, in natural groups; in the order of groups. */
    private Matrix plainError(Panel panel) {
        Matrix natural = Matrix.zeros(panel.rows(), n);
        for (int r = 0; r < panel.rows(); r++) {
            for (int i = 0; i < n; i++) {
                natural.values()[r * n + columns.natural()[i]] = panel.weights().at(r, i);
            }
        }
        Matrix rounded =
                RoundToNearest.quantize(natural, scheme, ScaleRule.MAX, divisor).dequantize();
        Matrix error = Matrix.zeros(panel.rows(), n);
        for (int r = 0; r < panel.rows(); r++) {
            for (int i = 0; i < n; i++) {
                error.values()[r * n + i] = panel.weights().at(r, i) - rounded.at(r, columns.natural()[i]);
            }
        }
        return error;
    }

    QuantizedLinear quantized() {
        return new QuantizedLinear(
                scheme,
                outputs,
                n,
                codes,
                scales.scales(),
                scales.zeros(),
                columns.groupOfColumn(),
                divisor,
                scales.units());
    }

    Method.Losses losses() {
        return new Method.Losses(loss, roundToNearest, weightNorm);
    }
}
