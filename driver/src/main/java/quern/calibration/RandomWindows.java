package quern.calibration;

import java.util.Iterator;

/** Windows at random places of one text. {@code seen} is the number of its tokens; no window when it is too short. */
record RandomWindows(JoinedText text, int samples, int length, long seed) implements Sampling {
    @Override
    public Sampled sample(Iterator<String> texts, Tokenizer tokenizer) {
        int[] all = text.ids(texts, tokenizer);
        if (all.length <= length) { // randint(0, -1) has no answer
            return new Sampled(new int[0], all.length);
        }
        PythonRandom random = new PythonRandom(seed);
        int[] ids = new int[samples * length];
        for (int s = 0; s < samples; s++) {
            int at = random.randint(0, all.length - length - 1);
            System.arraycopy(all, at, ids, s * length, length);
        }
        return new Sampled(ids, all.length);
    }
}
