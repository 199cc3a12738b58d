package quern.calibration;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A tokenizer.json of 97 tokens, as many as the toy model has, with each part that such files have: a byte-level BPE with
 * merges, a normalizer and a pre-tokenizer of several steps, a post-processor, added tokens.
 */
public final class ToyTokenizer {
    /** Bytes as byte-level tokenizers write them: \u0120 is the space, \u010a the line's end. */
    private static final String LETTERS =
            "\u0120abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:?-()\u010a";

    private static final String MERGES =
            "t h|th e|i n|e r|a n|\u0120 t|\u0120t he|\u0120 a|o n|r e|e n|\u0120 s|a t|o r|\u0120 w|h e|i s|e s|e d"
                    + "|\u0120a n|\u0120an d|in g|i t";

    private static final String FILE = """
            {"version": "1.0",
             "truncation": {"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 2},
             "padding": null,
             "added_tokens": [
               {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true},
               {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true}],
             "normalizer": {"type": "Sequence", "normalizers": [
               {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "[!\\"]+"}, "content": "?"}]},
             "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
               {"type": "Split", "pattern": {"Regex": "\\\\d{1,3}|[^\\\\s\\\\d]+|\\\\s+(?!\\\\S)|\\\\s"}, "behavior": "Isolated",
                "invert": false},
               {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
             "post_processor": {"type": "TemplateProcessing",
               "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
               "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
             "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
             "model": {"type": "BPE", "dropout": null, "unk_token": "</s>", "continuing_subword_prefix": null,
               "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
               "vocab": {%s},
               "merges": [%s]}}
            """;

    private ToyTokenizer() {}

    /** The file's bytes. */
    public static byte[] json() {
        List<String> tokens = new ArrayList<>(List.of("<s>", "</s>"));
        LETTERS.chars().forEach(c -> tokens.add(Character.toString(c)));
        List<String> merges = List.of(MERGES.split("\\|"));
        merges.forEach(m -> tokens.add(m.replace(" ", "")));
        if (tokens.size() != 97) {
            throw new AssertionError("The toy tokenizer has " + tokens.size() + " tokens");
        }
        String vocabulary = IntStream.range(0, tokens.size())
                .mapToObj(i -> "\"" + tokens.get(i) + "\": " + i)
                .collect(Collectors.joining(", "));
        return FILE.formatted(
                        vocabulary, merges.stream().map(m -> "\"" + m + "\"").collect(Collectors.joining(", ")))
                .getBytes(UTF_8);
    }
}
