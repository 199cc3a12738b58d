package quern.method;

import java.util.stream.IntStream;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.device.SolveKernels;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;

/** Puts the panels of a weight together, and sums their losses. */
final class Assembly {
    private final Scheme scheme;
    private final ScaleSearch spanning; // of round-to-nearest, which losses are told beside
    private final Columns columns;
    private final int outputs;
    private final float divisor;
    private final int n;
    private final byte[] codes; // outputs x n, natural order
    private final Scales scales; // outputs x groups
    private double loss;
    private double roundToNearest;
    private double weightNorm;

    Assembly(ScaleSearch search, Columns columns, int outputs) {
        this.columns = columns;
        this.outputs = outputs;
        scheme = search.scheme();
        divisor = search.divisor();
        spanning = new ScaleSearch(scheme, ScaleRule.MAX, divisor);
        n = columns.natural().length;
        codes = new byte[Math.multiplyExact(outputs, n)];
        scales = Scales.of(outputs, scheme, n);
    }

    /**
     * Takes rows from {@code row} on.
     *
     * @param swept their codes, rows x n, in the order of groups
     */
    void add(int row, Panel panel, DeviceMatrix swept, DampedHessian h, Device device) {
        SolveKernels solve = device.solve();
        int rows = swept.rows();
        try (DeviceMatrix natural = solve.columns(swept, Columns.inverse(columns.natural()))) {
            System.arraycopy(device.codes(natural), 0, codes, row * n, rows * n);
        }
        copy(device.download(panel.grids().scales()).values(), scales.scales(), row, rows);
        copy(device.download(panel.grids().zeros()).values(), scales.zeros(), row, rows);
        copy(panel.units().scales(), scales.units().scales(), row, rows);
        copy(panel.units().minima(), scales.units().minima(), row, rows);
        try (DeviceMatrix error = solve.error(panel.weights(), swept, panel.grids(), columns.groups());
                DeviceMatrix plain = plainError(panel.weights(), device)) {
            loss += loss(error, h, device);
            roundToNearest += loss(plain, h, device);
            weightNorm += loss(panel.weights(), h, device);
        }
    }

    private static void copy(float[] ofRows, float[] into, int row, int rows) {
        System.arraycopy(ofRows, 0, into, row * (ofRows.length / rows), ofRows.length);
    }

    /** tr(E H ET) for E in the order of groups and H without its damping. */
    private static double loss(DeviceMatrix error, DampedHessian h, Device device) {
        return Math.max(0, device.solve().loss(error, h.hessian(), h.lambda()));
    }

    /** The errors of the same rows rounded to nearest on grids by max, in natural groups; rows x n, in the order of groups. */
    private DeviceMatrix plainError(DeviceMatrix weights, Device device) {
        SolveKernels solve = device.solve();
        int[] groups = columns.groups();
        try (DeviceMatrix natural = solve.columns(weights, Columns.inverse(columns.natural()))) {
            if (scheme.blocks() != null) { // a format's own, see Panel
                QuantizedLinear rounded = RoundToNearest.quantize(device.download(natural), scheme);
                Scales chosen = new Scales(rounded.groups(), rounded.scales(), rounded.zeros(), rounded.units());
                try (Grids grids = chosen.upload(scheme, device);
                        DeviceMatrix nearest = device.upload(rounded.codes(), natural.rows(), n)) {
                    return plainError(natural, nearest, grids, groups, solve);
                }
            }
            try (Grids grids = Grids.of(ScaleSearch.values(scheme), natural.rows(), scales.groups(), device)) {
                int[] all = IntStream.range(0, scales.groups()).toArray();
                solve.search(natural, null, spanning.search(), 0, columns.length(), all, grids);
                try (DeviceMatrix nearest = solve.round(natural, grids, groups)) {
                    return plainError(natural, nearest, grids, groups, solve);
                }
            }
        }
    }

    private DeviceMatrix plainError(
            DeviceMatrix natural, DeviceMatrix nearest, Grids grids, int[] groups, SolveKernels solve) {
        try (DeviceMatrix error = solve.error(natural, nearest, grids, groups)) {
            return solve.columns(error, columns.natural());
        }
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
