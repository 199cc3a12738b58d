package quern.calibration;

import java.util.Arrays;
import java.util.Iterator;

/**
 * The first {@code want} tokens of the texts tokenized one by one and joined. {@code seen} counts the tokens up to there.
 */
record FirstTokens(int want, boolean specialTokens) implements Sampling {
    @Override
    public Sampled sample(Iterator<String> texts, Tokenizer tokenizer) {
        int[] ids = new int[Math.min(want, 1 << 16)];
        int count = 0;
        while (count < want && texts.hasNext()) {
            int[] more = tokenizer.encode(texts.next(), specialTokens);
            int take = Math.min(more.length, want - count);
            if (count + take > ids.length) {
                ids = Arrays.copyOf(ids, (int) Math.min(want, Math.max(2L * ids.length, count + take)));
            }
            System.arraycopy(more, 0, ids, count, take);
            count += take;
        }
        return new Sampled(Arrays.copyOf(ids, count), count);
    }
}
