// The trainer’s guide: its one button.

document.getElementById("imprimer").addEventListener("click", () => print());
