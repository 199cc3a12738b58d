package quern.interop;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;

/** Other tokenizers of one vocabulary: the ways in which well-known ones cut text. */
final class Tokenizers {
    private static final String END = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n%s]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final String WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}";
    private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
    private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
    private static final String BEFORE = "[^\\r\\n\\p{L}\\p{N}]?";
    private static final String SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";

    /** Llama 3's, Qwen 2's, Mistral Nemo's and gpt-oss's, as their tokenizer.json have them. */
    private static final Map<String, String> SPLITS = Map.of(
            "llama-bpe", WORDS + "{1,3}" + END.formatted(""),
            "qwen2", WORDS + END.formatted(""),
            "tekken",
                    BEFORE + UPPER + "*" + LOWER + "+|" + BEFORE + UPPER + "+" + LOWER + "*|\\p{N}"
                            + END.formatted("/"),
            "gpt-4o",
                    BEFORE + UPPER + "*" + LOWER + "+" + SUFFIX + "|" + BEFORE + UPPER + "+" + LOWER + "*" + SUFFIX
                            + "|\\p{N}{1,3}" + END.formatted("/"));

    private Tokenizers() {}

    /** Changes how a byte-level tokenizer cuts text. */
    static void cut(ObjectNode tokenizer, String way) {
        if (way.equals("as it is")) {
            return;
        }
        if (way.equals("pieces")) {
            pieces(tokenizer);
            return;
        }
        ObjectNode sequence = tokenizer.putObject("pre_tokenizer").put("type", "Sequence");
        ArrayNode steps = sequence.putArray("pretokenizers");
        boolean digits = way.equals("digits");
        if (digits) {
            steps.addObject().put("type", "Digits").put("individual_digits", true);
        } else {
            steps.addObject()
                    .put("type", "Split")
                    .put("behavior", "Isolated")
                    .put("invert", false)
                    .putObject("pattern")
                    .put("Regex", SPLITS.get(way));
        }
        steps.addObject()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", digits);
    }

    /** The same words with a visible space, and tokens of bytes: the BPE of SentencePiece. */
    private static void pieces(ObjectNode tokenizer) {
        ObjectNode model = (ObjectNode) tokenizer.get("model");
        ObjectNode vocabulary = model.objectNode();
        int[] id = {0};
        vocabulary.put("<|begin_of_text|>", id[0]++);
        vocabulary.put("<|end_of_text|>", id[0]++);
        vocabulary.put("<unk>", id[0]++);
        for (int b = 0; b < 256; b++) {
            vocabulary.put("<0x%02X>".formatted(b), id[0]++);
        }
        vocabulary.put("\u2581", id[0]++);
        for (char c = '!'; c <= '~'; c++) {
            vocabulary.put(String.valueOf(c), id[0]++);
        }
        ArrayNode merges = model.arrayNode();
        for (var merge : model.get("merges")) {
            String left = merge.get(0).asText().replace('\u0120', '\u2581');
            String right = merge.get(1).asText().replace('\u0120', '\u2581');
            boolean plain = (left + right).chars().allMatch(c -> c == '\u2581' || c > ' ' && c < 127);
            if (plain
                    && vocabulary.has(left)
                    && vocabulary.has(right)
                    && !vocabulary.has(left + right)
                    && id[0] < 2048) {
                vocabulary.put(left + right, id[0]++);
                merges.addArray().add(left).add(right);
            }
        }
        model.set("vocab", vocabulary);
        model.set("merges", merges);
        model.put("byte_fallback", true).put("fuse_unk", true).put("unk_token", "<unk>");
        tokenizer.putNull("pre_tokenizer");
        ObjectNode normalizer = tokenizer.putObject("normalizer").put("type", "Sequence");
        ArrayNode steps = normalizer.putArray("normalizers");
        steps.addObject().put("type", "Prepend").put("prepend", "\u2581");
        steps.addObject()
                .put("type", "Replace")
                .put("content", "\u2581")
                .putObject("pattern")
                .put("String", " ");
    }
}
