"""What is told of a transcript on the way."""

from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.recognition.settled_text import SettledText
from distilhubert_ko.text.tokenizer import Tokenizer


def test_words_are_told_after_their_space_and_digits_after_their_phrase() -> None:
    tokenizer = Tokenizer.from_texts(["세 시 삼십 분에"], "syllables")
    words = {0: "세", 10: "시", 100: "삼십", 110: "분에", 200: "시"}  # by the frame of their start
    tokens = []
    for start, word in words.items():
        ids = [*tokenizer.encode(word), tokenizer.delimiter_id]
        tokens += [Token(id, frame, frame + 1, -0.1) for frame, id in enumerate(ids, start)]

    def told(in_digits: bool) -> list[str]:
        settled = SettledText(tokenizer, in_digits)
        return [settled.next(tokens[:count]) for count in range(len(tokens) + 1)]

    assert [text for text in told(in_digits=False) if text] == [*words.values()]
    assert told(in_digits=False)[2] == "세"
    assert [text for text in told(in_digits=True) if text] == ["3시", "30분에"]
    assert told(in_digits=True)[7] == "3시"
