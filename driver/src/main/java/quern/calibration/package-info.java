/**
 * Calibration and evaluation text as windows of tokens. Text is read and tokenized in one Spark task per file, which stops as
 * soon as it has enough, so that the driver never holds text and only the chosen token ids come back.
 *
 * <p>Three rules, because a run must see the tokens that other tools see:
 * <ul>
 *   <li><b>A path</b> is cut from its beginning: each line is tokenized by itself, with its newline and without special
 *       tokens, the ids are joined, and the first {@code samples * length} of them are the windows, in order. Files of a
 *       folder follow each other by name. A row of a JSON-lines or Parquet file is tokenized as it stands.
 *   <li><b>A name</b> ({@code wikitext2}, {@code ptb}, {@code ptb_new}, {@code c4}, {@code c4_new}) follows the scripts that
 *       made GPTQ standard: the tokenizer adds its special tokens as it does by default, one Python
 *       {@code random.Random(seed)} draws all windows ({@link quern.calibration.PythonRandom}).
 *   <li><b>The demo model's</b> own stories are tokenized as it was trained: each begins with the special token and has no
 *       newline; they are joined and cut from the beginning.
 * </ul>
 *
 * <p>Evaluation text is tokenized at once, without special tokens for a path and with them for a name, and cut into
 * consecutive windows; the tail is dropped.
 */
@NullMarked
package quern.calibration;

import org.jspecify.annotations.NullMarked;
