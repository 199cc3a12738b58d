package quern.evaluate;

import quern.model.Model;
import quern.model.Weights;

/** A model to evaluate, and where the weights of its linears come from. */
public record Subject(Model model, Weights weights) {
    /** A model in full precision. */
    public static Subject stored(Model model) {
        return new Subject(model, Weights.stored(model));
    }
}
