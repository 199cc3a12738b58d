package quern.export;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import quern.QuernException;

/** What llama.cpp calls the ways in which byte-level tokenizers cut text before they merge it ({@code llama-vocab.cpp}). */
final class PreTokenizers {
    private static final String WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}%s"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final String CASED =
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "%1$s|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*%1$s|\\p{N}%2$s"
                    + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final String SUFFIXES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";

    /** By the regular expression that cuts. */
    private static final Map<String, String> SPLITS = Map.of(
            WORDS.formatted("{1,3}"),
            "llama-bpe",
            WORDS.formatted(""),
            "qwen2",
            CASED.formatted("", ""),
            "tekken",
            CASED.formatted(SUFFIXES, "{1,3}"),
            "gpt-4o");

    private PreTokenizers() {}

    static String name(JsonNode tokenizer, Function<String, QuernException> refused) {
        List<String> steps = new ArrayList<>();
        collect(tokenizer.path("pre_tokenizer"), steps);
        if (steps.equals(List.of("words"))) {
            return "gpt-2";
        }
        if (steps.equals(List.of("digits", "words"))) {
            return "smollm";
        }
        String name = steps.size() == 2 && steps.get(1).equals("bytes") ? SPLITS.get(steps.get(0)) : null;
        if (name == null) {
            throw refused.apply("its tokenizer cuts text by " + steps);
        }
        return name;
    }

    private static void collect(JsonNode step, List<String> steps) {
        switch (step.path("type").asText()) {
            case "Sequence" -> step.path("pretokenizers").forEach(each -> collect(each, steps));
            case "ByteLevel" ->
                steps.add(
                        step.path("add_prefix_space").asBoolean()
                                ? "a space before it"
                                : step.path("use_regex").asBoolean(true) ? "words" : "bytes");
            case "Digits" -> steps.add(step.path("individual_digits").asBoolean() ? "digits" : "numbers");
            case "Split" -> steps.add(step.path("pattern").path("Regex").asText("a string"));
            default -> steps.add(step.path("type").asText());
        }
    }
}
