package quern.model;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/**
 * What turns tokens into what enters the first layer: the rows of the embedding, then what the family does to them (a scale,
 * positions, a norm), on a device. Safe for several threads.
 */
public final class Entry implements AutoCloseable {
    private final Embedding embedding;
    private final Device device;
    private final @Nullable Block block;

    private Entry(Embedding embedding, Device device, @Nullable Block block) {
        this.embedding = embedding;
        this.device = device;
        this.block = block;
    }

    public static Entry load(Model model, Device device) throws IOException {
        Section before = model.before();
        Block block = before.program().steps().isEmpty()
                ? null
                : Block.load(before, Weights.stored(model), DType.F32, device);
        return new Entry(Embedding.open(model), device, block);
    }

    /**
     * @param tokens of one or more sequences
     * @param length tokens of a sequence
     * @return tokens x hidden, F32; the caller closes it
     */
    public DeviceMatrix forward(int[] tokens, int length) throws IOException {
        DeviceMatrix rows = device.upload(embedding.rows(tokens), DType.F32);
        if (block == null) {
            return rows;
        }
        try (rows) {
            return block.run(rows, length, null);
        }
    }

    @Override
    public void close() {
        if (block != null) {
            block.close();
        }
    }
}
