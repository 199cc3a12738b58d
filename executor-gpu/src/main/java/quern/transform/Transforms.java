package quern.transform;

import java.util.List;
import java.util.stream.Collectors;
import quern.QuernException;

/** The transforms by name. */
public final class Transforms {
    private static final List<Transform> ALL = List.of(new Unchanged(), new Awq(), new SmoothQuant(), new Hadamard());

    private Transforms() {}

    public static List<Transform> all() {
        return ALL;
    }

    public static Transform named(String name) {
        return ALL.stream()
                .filter(t -> t.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new QuernException("Cannot use transform " + name + ": it is unknown (use one of "
                        + ALL.stream().map(Transform::name).collect(Collectors.joining(", ")) + ")"));
    }
}
