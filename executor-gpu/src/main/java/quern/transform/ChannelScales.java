package quern.transform;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import quern.QuernException;
import quern.model.Absorber;
import quern.model.Linear;
import quern.model.Model;

/**
 * A factor s for each channel of a site's input, moved from the input into the weights: what makes the input is divided by s, the columns
 * of the linears that read it are multiplied by s.
 */
final class ChannelScales {
    private ChannelScales() {}

    /** {@link QuernException} for a model without any input that the transform is fitted to. */
    static Model applied(Model model, Vectors vectors, Transform transform) {
        List<Absorber> absorbers = IntStream.range(0, model.layers())
                .boxed()
                .flatMap(layer -> model.absorbers(layer).stream())
                .filter(transform::takes)
                .toList();
        if (absorbers.isEmpty()) {
            throw new QuernException(
                    "Cannot use transform " + transform.name() + " on "
                            + model.store().location() + ", a " + model.config().modelType()
                            + " model: nothing that makes the inputs of its linears takes a factor (use another transform, or none)");
        }
        Edits edits = new Edits();
        absorbers.forEach(absorber -> add(absorber, model, vectors, edits));
        return edits.applied(model);
    }

    private static void add(Absorber absorber, Model model, Vectors vectors, Edits edits) {
        Edit.Vector scales = () -> {
            float[] found = vectors.of(absorber.site().layer(), absorber.index());
            if (found != null) {
                return found;
            }
            float[] ones = new float[absorber.channels()];
            Arrays.fill(ones, 1);
            return ones;
        };
        for (Absorber.Given given : absorber.givers()) {
            long elements = model.tensors().spec(given.tensor()).elements();
            List<Long> shape = model.tensors().spec(given.tensor()).shape();
            long last = shape.get(shape.size() - 1);
            int size = Math.toIntExact(given.byColumn() ? last : elements / last);
            Edit.Vector divided = () -> divisors(scales.values(), given.places(), size);
            if (given.offset() != 0) {
                edits.add(given.tensor(), Edit.plus(given.offset()));
            }
            edits.add(given.tensor(), given.byColumn() ? Edit.timesColumns(divided) : Edit.timesRows(divided));
            if (given.offset() != 0) {
                edits.add(given.tensor(), Edit.plus(-given.offset()));
            }
        }
        for (Linear reader : absorber.readers()) {
            Edit.Vector ofInput = () -> ofInputs(scales.values(), absorber.channelOfInput());
            edits.add(reader.weight(), reader.transposed() ? Edit.timesRows(ofInput) : Edit.timesColumns(ofInput));
        }
    }

    /** 1 / s at its places, 1 elsewhere. */
    private static float[] divisors(float[] scales, int[] places, int size) {
        float[] divisors = new float[size];
        Arrays.fill(divisors, 1);
        for (int i = 0; i < places.length; i++) {
            divisors[places[i]] = 1 / scales[i];
        }
        return divisors;
    }

    /** The factor of each column of a site's input. */
    static float[] ofInputs(float[] scales, int[] channelOfInput) {
        float[] all = new float[channelOfInput.length];
        for (int i = 0; i < all.length; i++) {
            all[i] = scales[channelOfInput[i]];
        }
        return all;
    }
}
