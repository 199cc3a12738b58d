package quern.model;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/** One decoder layer with its weights on a device. {@link #forward} may be called by several threads. */
public final class DecoderLayer implements AutoCloseable {
    private final Model model;
    private final Block block;

    private DecoderLayer(Model model, Block block) {
        this.model = model;
        this.block = block;
    }

    /**
     * Reads a layer's tensors and makes them ready.
     *
     * @param weights where linears come from; norms and biases are the checkpoint's
     */
    public static DecoderLayer load(Model model, int layer, Weights weights, Device device) throws IOException {
        return new DecoderLayer(model, Block.load(model.layer(layer), weights, DType.F32, device));
    }

    /**
     * @param x (sequences * length) x hidden, F32; not closed
     * @param length tokens of a sequence
     * @param tap sees the inputs of the sites, or none
     * @return (sequences * length) x hidden, F32; the caller closes it
     */
    public DeviceMatrix forward(DeviceMatrix x, int length, @Nullable Tap tap) {
        if (length < 1 || x.rows() % length != 0 || x.cols() != model.hiddenSize()) {
            throw new IllegalArgumentException("A batch of " + x.rows() + " x " + x.cols()
                    + " does not hold sequences of " + length + " tokens of " + model.hiddenSize());
        }
        return block.run(x, length, tap);
    }

    /** Bytes that its weights take on the device. */
    public long deviceBytes() {
        return block.deviceBytes();
    }

    @Override
    public void close() {
        block.close();
    }
}
