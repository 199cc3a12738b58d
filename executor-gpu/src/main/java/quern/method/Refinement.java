package quern.method;

import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.StoredScale;
import quern.scheme.Blocks;

/**
 * Lowers the loss (w - q) H (w - q)T of rows that were swept, by descent: each code in turn is set to the best one while
 * all others stay, and after the codes of a group its scale to the best one while all codes stay, where the rule that chose it
 * lets scales be fitted. No step raises the loss. The sweep looks ahead and never back; this looks everywhere and takes small
 * steps, so it comes after.
 */
record Refinement(Inputs inputs, ScaleSearch search, Device device) {
    /** Groups up to this length are a block, whose scale can be fitted; longer ones are cut and keep their scales. */
    private static final int WIDEST = 256;

    private static final int BLOCK = 128;

    /**
     * The first two rounds gain nearly all of what there is; each costs a product of the size of W H. Where codes are coarse two more
     * still gain: 2 % of the KL of quern-stories-4m with 2 and 3 bits, none of it behind the fourth.
     */
    private static int rounds(int bits) {
        return bits <= 3 ? 4 : 2;
    }

    /**
     * @param codes (k * rows) x n, in the order of groups
     * @param gradient (W - Q) H of these codes, and then of those that they become, (k * rows) x n
     */
    void apply(Panel panel, DeviceMatrix codes, DeviceMatrix gradient) {
        int n = codes.cols();
        int length = inputs.length();
        DeviceMatrix hessian = inputs.hessian().hessian();
        // A zero that stands for a minimum would have to move with the scale.
        Blocks blocks = search.scheme().blocks();
        boolean whole = length <= WIDEST && (blocks == null || !blocks.minima());
        StoredScale stored = whole && search.refits() ? search.stored() : null;
        for (int round = 0; round < rounds(search.scheme().bits()); round++) {
            for (int from = 0, to; from < n; from = to) {
                to = Math.min(n, whole ? from + length : Math.min(from + BLOCK, (from / length + 1) * length));
                try (DeviceMatrix change = device.solve() // Q before - after, (k * rows) x (to - from)
                        .descend(gradient, hessian, from, to, panel.grids(), from / length, codes, stored)) {
                    device.solve().addProduct(inputs.members(), change, hessian, from, to, gradient);
                }
            }
        }
    }
}
