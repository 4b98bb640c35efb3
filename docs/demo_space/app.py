"""A Space of Hugging Face with Gradio: a file or the microphone in, Korean text out."""

import gradio

from distilhubert_ko import Transcriber, VadOptions

transcriber = Transcriber("OWNER/NAME")  # what `distilhubert-ko push` uploaded

gradio.Interface(
    fn=lambda path: transcriber(path, VadOptions()).text if path else "",  # nothing for noise and coughs
    inputs=gradio.Audio(type="filepath", label="음성"),
    outputs=gradio.Textbox(label="받아쓴 글"),
    title="한국어 받아쓰기",
    flagging_mode="never",
).launch()
