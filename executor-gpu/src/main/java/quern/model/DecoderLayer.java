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
        run(List.of(new LayerRun.Lane(batches, tap)), batch -> length, false, LayerRun.WHOLE);
        return batches.get(0);
    }

    /**
     * Batches that do not depend on each other, each a sequence.
     *
     * @param batches each tokens x hidden, F32; closed, and replaced by what leaves the layer
     */
    public void forward(List<DeviceMatrix> batches) throws IOException {
        List<List<DeviceMatrix>> each = new ArrayList<>();
        batches.forEach(batch -> each.add(new ArrayList<>(List.of(batch))));
        try {
            run(
                    each.stream().map(one -> new LayerRun.Lane(one, null)).toList(),
                    DeviceMatrix::rows,
                    true,
                    LayerRun.WHOLE);
        } finally {
            for (int b = 0; b < each.size(); b++) {
                batches.set(b, each.get(b).get(0));
            }
        }
    }

    /**
     * As far as the sites of a rank, and no further.
     *
     * @param x (sequences * length) x hidden, F32; not closed
     * @param length tokens of a sequence
     * @param tap sees the inputs of the sites up to there
     */
    public void upTo(int rank, DeviceMatrix x, int length, Tap tap) throws IOException {
        run(List.of(new LayerRun.Lane(new ArrayList<>(List.of(x)), tap)), batch -> length, false, rank);
    }

    private void run(List<LayerRun.Lane> lanes, ToIntFunction<DeviceMatrix> length, boolean owned, int rank)
            throws IOException {
        lanes.forEach(lane -> lane.batches().forEach(batch -> check(batch, length.applyAsInt(batch))));
        try (LayerRun run = new LayerRun(block, weights, lanes, length, owned, rank)) {
            while (run.advance()) {
                // all of it
            }
        }
    }

    /** One lane, experts from where the layer came from. */
    public LayerRun start(List<DeviceMatrix> batches, int length, Tap tap) {
        return start(List.of(new LayerRun.Lane(batches, tap)), length, weights, LayerRun.WHOLE);
    }

    /**
     * Begins to take lanes of batches through the layer.
     *
     * @param lanes whose batches are closed, and replaced by what leaves the layer
     * @param length tokens of a sequence
     * @param experts where the weights of experts come from
     * @param rank of the last sites that taps wait for, if batches are to stay as they are; else {@link LayerRun#WHOLE}
     */
    public LayerRun start(List<LayerRun.Lane> lanes, int length, Weights experts, int rank) {
        lanes.forEach(lane -> lane.batches().forEach(batch -> check(batch, length)));
        return new LayerRun(block, experts, lanes, batch -> length, true, rank);
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
