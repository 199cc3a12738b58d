package quern.method;

import java.util.Arrays;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.scheme.Blocks;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Lowers the loss (w - q) H (w - q)T of rows that were swept, by descent: each code in turn is set to the best one while
 * all others stay, and after the codes of a group its scale to the best one while all codes stay. No step raises the
 * loss. The sweep looks ahead and never back; this looks everywhere and takes small steps, so it comes after.
 */
final class Refinement {
    /** The first two rounds gain nearly all of what there is; each costs a product of the size of W H. */
    private static final int ROUNDS = 2;

    /** Groups up to this length are a block, whose scale is fitted; longer ones are cut and keep their scales. */
    private static final int WIDEST = 256;

    private static final int BLOCK = 128;

    private final DampedHessian h;
    private final ScaleSearch scales;
    private final Device device;

    Refinement(DampedHessian h, ScaleSearch scales, Device device) {
        this.h = h;
        this.scales = scales;
        this.device = device;
    }

    void apply(Panel panel) {
        int n = panel.n();
        int length = panel.columns().length();
        // A zero that stands for a minimum would have to move with the scale.
        Blocks blocks = scales.scheme().blocks();
        boolean fits = length <= WIDEST && (blocks == null || !blocks.minima());
        try (DeviceMatrix gradient = device.zeros(panel.rows(), n, DType.F32)) { // (W - Q) H, rows x n
            try (DeviceMatrix error = device.upload(panel.error(), DType.F32)) { // rows x n
                device.solve().addProduct(error, h.hessian(), 0, n, gradient);
            }
            for (int round = 0; round < ROUNDS; round++) {
                for (int from = 0, to; from < n; from = to) {
                    to = Math.min(n, fits ? from + length : Math.min(from + BLOCK, (from / length + 1) * length));
                    block(panel, gradient, from, to, fits);
                }
            }
        }
    }

    private void block(Panel panel, DeviceMatrix gradient, int from, int to, boolean fits) {
        int group = from / panel.columns().length();
        int[] groups = new int[to - from];
        Arrays.fill(groups, group);
        Matrix before = panel.quantized(from, to); // rows x (to - from)
        float[] fitted = device.solve().descend(gradient, h.hessian(), from, to, panel.grid(groups), panel.codes());
        for (int r = 0; fits && r < panel.rows(); r++) {
            int g = r * panel.scales().groups() + group;
            float now = panel.scales().scales()[g];
            float candidate =
                    Float.isFinite(fitted[r]) ? scales.nearest(fitted[r], panel.scales(), r, group) : Float.NaN;
            // The loss is a parabola about the fitted scale; what is stored may lie further off than what there was.
            if (Math.abs(candidate - fitted[r]) < Math.abs(now - fitted[r])) {
                panel.scales().scales()[g] = candidate;
            }
        }
        Matrix change = panel.quantized(from, to); // before - after: what the error grew by
        for (int i = 0; i < change.values().length; i++) {
            change.values()[i] = before.values()[i] - change.values()[i];
        }
        try (DeviceMatrix grown = device.upload(change, DType.F32)) { // rows x (to - from)
            device.solve().addProduct(grown, h.hessian(), from, to, gradient);
        }
    }
}
