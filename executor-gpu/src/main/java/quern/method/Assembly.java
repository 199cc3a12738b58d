package quern.method;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import quern.device.BlockSearch;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.device.Grids.Multiples;
import quern.device.SolveKernels;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;

/** Puts the panels of a weight together, and sums their losses; or of each of the k weights of a stack. */
final class Assembly {
    private final Scheme scheme;
    private final ScaleSearch spanning; // of round-to-nearest, which losses are told beside
    private final Inputs inputs;
    private final int outputs;
    private final float divisor;
    private final int n;
    private final byte[][] codes; // k of outputs x n, natural order
    private final Scales[] scales; // k of outputs x groups
    private final double[] loss; // k
    private final double[] roundToNearest;
    private final double[] weightNorm;

    Assembly(ScaleSearch search, Inputs inputs, int outputs) {
        this.inputs = inputs;
        this.outputs = outputs;
        scheme = search.scheme();
        divisor = search.divisor();
        spanning = new ScaleSearch(scheme, ScaleRule.MAX, divisor);
        n = inputs.inputs();
        int members = inputs.members();
        codes = new byte[members][Math.multiplyExact(outputs, n)];
        scales = new Scales[members];
        Arrays.setAll(scales, m -> Scales.of(outputs, scheme, n));
        loss = new double[members];
        roundToNearest = new double[members];
        weightNorm = new double[members];
    }

    /**
     * Takes rows from {@code row} on.
     *
     * @param swept their codes, (k * rows) x n, in the order of groups
     * @param gradient (W - Q) H of these, (k * rows) x n
     */
    void add(int row, Panel panel, DeviceMatrix swept, DeviceMatrix gradient, Device device) {
        SolveKernels solve = device.solve();
        int rows = swept.rows() / inputs.members();
        try (DeviceMatrix natural = solve.columns(swept, inputs.each(c -> Columns.inverse(c.natural())))) {
            byte[] all = device.codes(natural);
            for (int m = 0; m < codes.length; m++) {
                System.arraycopy(all, m * rows * n, codes[m], row * n, rows * n);
            }
        }
        float[] ofRows = device.download(panel.grids().scales()).values();
        float[] zeros = device.download(panel.grids().zeros()).values();
        for (int m = 0; m < scales.length; m++) {
            copy(ofRows, m, scales[m].scales(), row, rows);
            copy(zeros, m, scales[m].zeros(), row, rows);
        }
        Multiples multiples = panel.grids().multiples();
        if (multiples != null) { // of one weight alone
            copy(
                    device.download(multiples.units()).values(),
                    0,
                    scales[0].units().scales(),
                    row,
                    rows);
            if (multiples.minima() != null) {
                copy(
                        device.download(multiples.minima()).values(),
                        0,
                        scales[0].units().minima(),
                        row,
                        rows);
            }
        }
        int[] groups = inputs.columns().get(0).groups(); // runs of one length
        try (DeviceMatrix error = solve.error(panel.weights(), swept, panel.grids(), groups)) {
            addLosses(error, gradient, loss, device);
        }
        try (DeviceMatrix plain = plainError(panel, groups, device)) {
            addLosses(plain, roundToNearest, device);
        }
        addLosses(panel.weights(), weightNorm, device);
    }

    /** What rows of one member have of a panel. */
    private void copy(float[] ofPanel, int member, float[] into, int row, int rows) {
        int each = ofPanel.length / (rows * inputs.members());
        System.arraycopy(ofPanel, member * rows * each, into, row * each, rows * each);
    }

    /** tr(E H ET) for E in the order of groups and H without its damping. */
    private void addLosses(DeviceMatrix error, double[] losses, Device device) {
        try (DeviceMatrix product = inputs.hessian().product(error, device)) {
            addLosses(error, product, losses, device);
        }
    }

    /** @param product E H */
    private void addLosses(DeviceMatrix error, DeviceMatrix product, double[] losses, Device device) {
        double[] more = device.solve().loss(error, product, inputs.hessian().lambda());
        for (int m = 0; m < losses.length; m++) {
            losses[m] += Math.max(0, more[m]);
        }
    }

    /** The errors of the same rows rounded to nearest on grids by max, in natural groups; (k * rows) x n, in the order of groups. */
    private DeviceMatrix plainError(Panel panel, int[] groups, Device device) {
        SolveKernels solve = device.solve();
        try (DeviceMatrix natural = solve.columns(panel.weights(), inputs.each(c -> Columns.inverse(c.natural())))) {
            if (scheme.blocks() != null) {
                BlockSearch search = ScaleSearch.blocks(scheme);
                try (Grids grids = Grids.of(search, natural.rows(), n, device);
                        DeviceMatrix nearest = solve.search(natural, null, search, grids)) {
                    return plainError(natural, nearest, grids, groups, solve);
                }
            }
            if (scheme.sharesRows()) {
                try (DeviceMatrix nearest = solve.round(natural, panel.grids(), groups)) {
                    return plainError(natural, nearest, panel.grids(), groups, solve);
                }
            }
            int count = scheme.groups(n);
            try (Grids grids = Grids.of(ScaleSearch.values(scheme), natural.rows(), count, device)) {
                int[][] all = {IntStream.range(0, count).toArray()}; // of whatever rows
                solve.search(natural, null, spanning.search(), 0, inputs.length(), all, grids);
                try (DeviceMatrix nearest = solve.round(natural, grids, groups)) {
                    return plainError(natural, nearest, grids, groups, solve);
                }
            }
        }
    }

    private DeviceMatrix plainError(
            DeviceMatrix natural, DeviceMatrix nearest, Grids grids, int[] groups, SolveKernels solve) {
        try (DeviceMatrix error = solve.error(natural, nearest, grids, groups)) {
            return solve.columns(error, inputs.each(Columns::natural));
        }
    }

    /** What became of one weight. */
    Method.Outcome outcome(int member, List<String> notes) {
        Scales own = scales[member];
        QuantizedLinear quantized = new QuantizedLinear(
                scheme,
                outputs,
                n,
                codes[member],
                own.scales(),
                own.zeros(),
                inputs.columns().get(member).groupOfColumn(),
                divisor,
                own.units());
        return new Method.Outcome(
                quantized, new Method.Losses(loss[member], roundToNearest[member], weightNorm[member]), notes);
    }
}
