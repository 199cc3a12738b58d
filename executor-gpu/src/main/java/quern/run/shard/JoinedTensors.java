package quern.run.shard;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import quern.format.Joint;
import quern.plan.Plan;
import quern.store.SafetensorsWriter;
import quern.tensor.TensorSpec;

/**
 * The tensors of a linear, put together from those of its panels. The first, which holds the codes, passes through where panels
 * lie one below the other; the rest, and what lies side by side, is kept until all panels are there.
 */
final class JoinedTensors {
    private final Plan.LinearPlan linear;
    private final List<TensorSpec> specs;
    private final List<Joint> joints; // none: one panel is the whole
    private final List<ByteBuffer> kept = new ArrayList<>(); // by tensor; empty for one that passes through
    private int rows;

    JoinedTensors(Plan.LinearPlan linear, List<TensorSpec> specs, List<Joint> joints) {
        this.linear = linear;
        this.specs = specs;
        this.joints = joints;
    }

    /** Takes the next rows. What passes through goes to {@code out}. */
    void add(int count, List<ByteBuffer> panel, OutputStream out) throws IOException {
        for (int t = 0; t < panel.size(); t++) {
            ByteBuffer bytes = panel.get(t);
            if (count == linear.outputs()) {
                kept.add(bytes);
                continue;
            }
            if (rows == 0) {
                kept.add(ByteBuffer.allocate(
                        passes(t) ? 0 : Math.toIntExact(specs.get(t).bytes())));
            }
            if (passes(t)) {
                SafetensorsWriter.copy(bytes, out);
            } else if (joints.get(t) == Joint.COLUMNS) {
                putColumns(t, bytes, count);
            } else if (joints.get(t) == Joint.ROWS || rows == 0) {
                kept.get(t).put(bytes.duplicate());
            }
        }
        rows += count;
        if (rows == linear.outputs() && count < rows) {
            kept.forEach(ByteBuffer::clear); // all is written: from the start to the capacity
        }
    }

    private boolean passes(int tensor) {
        return tensor == 0 && joints.get(0) == Joint.ROWS;
    }

    private void putColumns(int tensor, ByteBuffer panel, int count) {
        ByteBuffer whole = kept.get(tensor);
        int height = Math.toIntExact(specs.get(tensor).shape().get(0));
        int length = whole.capacity() / height;
        int part = panel.remaining() / height;
        int from = Math.toIntExact((long) length * rows / linear.outputs());
        for (int row = 0; row < height; row++) {
            whole.put(row * length + from, panel, panel.position() + row * part, part);
        }
    }

    /** Writes what was kept of a tensor: all of it, or nothing if it has passed through. */
    void writeTo(int tensor, OutputStream out) throws IOException {
        SafetensorsWriter.copy(kept.get(tensor), out);
    }
}
