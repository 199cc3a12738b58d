package quern.calibration;

import java.util.Arrays;
import java.util.Iterator;

/**
 * All texts as one, tokenized at once. {@code seen} is the number of its tokens, of which the first {@code maxTokens} are
 * brought back.
 *
 * @param separator what stands between two texts
 * @param maxTexts how many texts are taken
 * @param maxChars how many characters (code points) are taken of the whole
 */
record JoinedText(String separator, int maxTexts, int maxChars, int maxTokens, boolean specialTokens)
        implements Sampling {
    static final int ALL = Integer.MAX_VALUE;

    @Override
    public Sampled sample(Iterator<String> texts, Tokenizer tokenizer) {
        int[] ids = ids(texts, tokenizer);
        return new Sampled(ids.length > maxTokens ? Arrays.copyOf(ids, maxTokens) : ids, ids.length);
    }

    int[] ids(Iterator<String> texts, Tokenizer tokenizer) {
        StringBuilder whole = new StringBuilder();
        // A code point has at most two chars: when there are twice as many, there is enough.
        for (int n = 0; n < maxTexts && whole.length() / 2 <= maxChars && texts.hasNext(); n++) {
            whole.append(n == 0 ? "" : separator).append(texts.next());
        }
        if (whole.length() > maxChars && whole.codePointCount(0, whole.length()) > maxChars) {
            whole.setLength(whole.offsetByCodePoints(0, maxChars));
        }
        return tokenizer.encode(whole.toString(), specialTokens);
    }
}
