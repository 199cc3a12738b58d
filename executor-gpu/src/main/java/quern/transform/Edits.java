package quern.transform;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import quern.model.Model;

/** The edits of a model's tensors, in the order in which they are made. */
final class Edits {
    private final Map<String, List<Edit>> ofTensor = new HashMap<>();

    void add(String tensor, Edit edit) {
        ofTensor.computeIfAbsent(tensor, t -> new ArrayList<>()).add(edit);
    }

    Model applied(Model model) {
        return model.with(new EditedTensors(model.tensors(), ofTensor, Map.of()), false);
    }

    /** With a head of its own, which begins as the embedding. */
    Model untied(Model model) {
        return model.with(
                new EditedTensors(model.tensors(), ofTensor, Map.of(model.ownHead(), model.embedding())), true);
    }
}
