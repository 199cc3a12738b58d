package quern.transform;

import quern.model.Absorber;
import quern.model.Linear;
import quern.model.Model;
import quern.model.ResidualStream;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;

/**
 * Rotations that are merged into the weights, so that no coordinate stands out: of the residual stream (R1 of SpinQuant, Liu et al. 2024;
 * Q of QuaRot, Ashkboos et al. 2024) and of each head between values and outputs of attention (R2). With the stream x turned to x Q
 *
 * <pre>
 * embedding E -> E Q,   what writes W -> QT W,   what reads through a norm with weights g: W -> W diag(g) Q,  g -> 1
 * values W_v -> RT W_v for each head,   outputs of attention W_o -> W_o R for each head
 * </pre>
 *
 * A head that is the embedding becomes a tensor of its own: the two are not the same any more. Rotations that would have to remain in
 * the model (R3 and R4, before down_proj) are not made.
 */
final class Hadamard implements Transform {
    private static final long SEED = 0;

    @Override
    public String name() {
        return "hadamard";
    }

    @Override
    public Model applied(Model model, Vectors vectors) {
        ResidualStream stream = ResidualStream.of(model);
        Edits edits = new Edits();
        turnStream(model, stream, edits);
        for (int layer = 0; layer < model.layers(); layer++) {
            for (Absorber absorber : model.absorbers(layer)) {
                if (absorber.headDim() > 0) {
                    turnHeads(absorber, new Rotation(absorber.headDim(), SEED + 1 + layer), edits);
                }
            }
        }
        return model.tied() ? edits.untied(model) : edits.applied(model);
    }

    private static void turnStream(Model model, ResidualStream stream, Edits edits) {
        Rotation rotation = new Rotation(model.hiddenSize(), SEED);
        for (ResidualStream.Reader reader : stream.readers()) {
            String head = model.tied() && reader.tensor().equals(model.embedding()) ? model.ownHead() : reader.tensor();
            if (reader.norm() != null) {
                edits.add(head, Edit.timesColumns(weights(model.tensors(), reader.norm(), stream.offset())));
            }
            edits.add(head, Edit.turnRows(rotation));
        }
        stream.rows().forEach(table -> edits.add(table, Edit.turnRows(rotation)));
        stream.writers().forEach(linear -> edits.add(linear.weight(), Edit.turnColumns(rotation)));
        stream.biases().forEach(bias -> edits.add(bias, Edit.turnRows(rotation)));
        stream.norms().forEach(norm -> edits.add(norm, Edit.fill(1 - stream.offset())));
    }

    /** The weights of a norm as they multiply, read once. */
    private static Edit.Vector weights(TensorSource tensors, String norm, float offset) {
        return () -> {
            int size = Math.toIntExact(tensors.spec(norm).elements());
            float[] weights =
                    HalfFloats.toFloats(tensors.read(norm), tensors.spec(norm).dtype(), size);
            for (int i = 0; i < size; i++) {
                weights[i] += offset;
            }
            return weights;
        };
    }

    private static void turnHeads(Absorber absorber, Rotation rotation, Edits edits) {
        for (Absorber.Given values : absorber.givers()) {
            edits.add(
                    values.tensor(),
                    values.byColumn()
                            ? Edit.turnElements(rotation, values.places())
                            : Edit.turnColumns(rotation, values.places()));
        }
        for (Linear outputs : absorber.readers()) {
            edits.add(outputs.weight(), Edit.turnRows(rotation));
        }
    }
}
