package quern.method;

import java.util.List;
import java.util.stream.Collectors;
import quern.QuernException;

/** The methods by name. */
public final class Methods {
    private static final List<Method> ALL =
            List.of(new Gptq(), new Gptaq(), new RoundToNearest(), new Imatrix(), new Hqq());

    private Methods() {}

    public static List<Method> all() {
        return ALL;
    }

    public static Method named(String name) {
        return ALL.stream()
                .filter(m -> m.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () -> new QuernException("Cannot quantize by method " + name + ": it is unknown (use one of "
                                + ALL.stream().map(Method::name).collect(Collectors.joining(", ")) + ")"));
    }
}
