package quern.scheme;

import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import quern.QuernException;

/**
 * The schemes of a checkpoint's linears: one that is usual, and others for some.
 *
 * @param usual of all linears that nothing else is said of
 * @param named of some, by their full names
 * @param others of some by their beginning, where none of those names fits; the first that fits counts
 */
public record Schemes(Scheme usual, Map<String, Scheme> named, List<Beginning> others) {
    public Schemes {
        named = Map.copyOf(named);
        others = List.copyOf(others);
    }

    /** Linears whose names begin with what a regular expression of somebody else's file fits. */
    public record Beginning(Pattern pattern, Scheme scheme) {
        public static Beginning of(String expression, Scheme scheme) {
            try {
                return new Beginning(Pattern.compile(expression), scheme);
            } catch (PatternSyntaxException e) {
                throw new QuernException(
                        "Cannot read this checkpoint: its quantization_config names linears by %s, which is no regular expression, %s (use the original model)"
                                .formatted(expression, e.getDescription()),
                        e);
            }
        }
    }

    /** One for all. */
    public static Schemes all(Scheme scheme) {
        return new Schemes(scheme, Map.of(), List.of());
    }

    /** Of these linears; the scheme of most of them is the usual one. */
    public static Schemes of(Map<String, Scheme> linears) {
        Map<Scheme, Long> counts = linears.values().stream()
                .collect(Collectors.groupingBy(Function.identity(), LinkedHashMap::new, Collectors.counting()));
        Scheme usual = counts.entrySet().stream()
                .max(Comparator.comparingLong(Map.Entry::getValue))
                .orElseThrow()
                .getKey();
        Map<String, Scheme> named = new LinkedHashMap<>(linears);
        named.values().removeIf(usual::equals);
        return new Schemes(usual, named, List.of());
    }

    public boolean isOne() {
        return named.isEmpty() && others.isEmpty();
    }

    /** The scheme of a linear, by its full name. */
    public Scheme of(String linear) {
        Scheme byName = named.get(linear);
        return byName != null
                ? byName
                : others.stream()
                        .filter(o -> o.pattern().matcher(linear).lookingAt())
                        .findFirst()
                        .map(Beginning::scheme)
                        .orElse(usual);
    }

    /** Those of these linears whose scheme is not the usual one, by scheme. */
    public Map<Scheme, List<String>> others(Collection<String> linears) {
        return linears.stream()
                .filter(linear -> !of(linear).equals(usual))
                .collect(Collectors.groupingBy(this::of, LinkedHashMap::new, Collectors.toList()));
    }
}
