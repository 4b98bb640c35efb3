"""A Space of Hugging Face with Gradio: a file or the microphone in, Korean text out."""

import gradio

from distilhubert_ko import Transcriber

transcriber = Transcriber("OWNER/NAME")  # what `distilhubert-ko push` uploaded

gradio.Interface(
    fn=lambda path: transcriber(path).text if path else "",
    inputs=gradio.Audio(type="filepath", label="음성"),
    outputs=gradio.Textbox(label="받아쓴 글"),
    title="한국어 받아쓰기",
    flagging_mode="never",
).launch()
