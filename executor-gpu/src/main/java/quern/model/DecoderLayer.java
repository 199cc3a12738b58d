package quern.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/**
 * One decoder layer with its weights on a device, but for those of experts, which are read when they are run. {@link #forward} may
 * be called by several threads.
 */
public final class DecoderLayer implements AutoCloseable {
    private final Model model;
    private final Block block;
    private final Weights weights;

    private DecoderLayer(Model model, Block block, Weights weights) {
        this.model = model;
        this.block = block;
        this.weights = weights;
    }

    /**
     * Reads a layer's tensors and makes them ready.
     *
     * @param weights where linears come from; norms and biases are the checkpoint's
     */
    public static DecoderLayer load(Model model, int layer, Weights weights, Device device) throws IOException {
        return new DecoderLayer(model, Block.load(model.layer(layer), weights, DType.F32, device), weights);
    }

    /**
     * @param x (sequences * length) x hidden, F32; not closed
     * @param length tokens of a sequence
     * @param tap sees the inputs of the sites, or none
     * @return (sequences * length) x hidden, F32; the caller closes it
     */
    public DeviceMatrix forward(DeviceMatrix x, int length, @Nullable Tap tap) throws IOException {
        List<DeviceMatrix> batches = new ArrayList<>(List.of(x));
        run(batches, batch -> length, tap, false, false);
        return batches.get(0);
    }

    /**
     * Batches that do not depend on each other, each a sequence.
     *
     * @param batches each tokens x hidden, F32; closed, and replaced by what leaves the layer
     */
    public void forward(List<DeviceMatrix> batches) throws IOException {
        run(batches, DeviceMatrix::rows, null, true, true);
    }

    private void run(
            List<DeviceMatrix> batches,
            ToIntFunction<DeviceMatrix> length,
            @Nullable Tap tap,
            boolean owned,
            boolean apart)
            throws IOException {
        batches.forEach(batch -> check(batch, length.applyAsInt(batch)));
        try (LayerRun run = new LayerRun(block, weights, batches, length, tap, owned, apart)) {
            while (run.advance()) {
                // all of it
            }
        }
    }

    /** Experts come from where the layer came from. */
    public LayerRun start(List<DeviceMatrix> batches, int length, Tap tap) {
        return start(batches, length, tap, weights);
    }

    /**
     * Begins to take batches through the layer.
     *
     * @param batches each (sequences * length) x hidden, F32; closed, and replaced by what leaves the layer
     * @param length tokens of a sequence
     * @param tap sees the inputs of the sites
     * @param experts where the weights of experts come from
     */
    public LayerRun start(List<DeviceMatrix> batches, int length, Tap tap, Weights experts) {
        batches.forEach(batch -> check(batch, length));
        return new LayerRun(block, experts, batches, batch -> length, tap, true, false);
    }

    private void check(DeviceMatrix x, int length) {
        if (length < 1 || x.rows() % length != 0 || x.cols() != model.hiddenSize()) {
            throw new IllegalArgumentException("A batch of " + x.rows() + " x " + x.cols()
                    + " does not hold sequences of " + length + " tokens of " + model.hiddenSize());
        }
    }

    /** Bytes that its weights take on the device, without those of experts. */
    public long deviceBytes() {
        return block.deviceBytes();
    }

    @Override
    public void close() {
        block.close();
    }
}
