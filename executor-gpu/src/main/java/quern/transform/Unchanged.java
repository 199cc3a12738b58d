package quern.transform;

import quern.model.Model;

/** Leaves a model as it is. */
final class Unchanged implements Transform {
    @Override
    public String name() {
        return "none";
    }

    @Override
    public Model applied(Model model, Vectors vectors) {
        return model;
    }
}
