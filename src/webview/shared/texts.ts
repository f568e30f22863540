/* Texts of the parts that several webviews are made of, in the person's language; {0} stands for what is put in. */

export interface GridTexts {
  readonly filter: string;
  readonly filterHelp: string;
  readonly shown: string;
  readonly nothingFits: string;
  readonly copyCsv: string;
  readonly copyJson: string;
  readonly copied: string;
}

export interface MapTexts {
  readonly componentUnet: string;
  readonly componentTransformer: string;
  readonly componentTextEncoder: string;
  readonly componentTextEncoder2: string;
  readonly componentTextEncoder3: string;
  readonly componentVae: string;
  readonly componentOther: string;
  readonly block: string;
  readonly blockTotal: string;
  readonly other: string;
  readonly notYet: string;
  readonly mapCell: string;
  readonly mapHelp: string;
}

export interface FigureTexts {
  readonly savePng: string;
  readonly saveSvg: string;
  readonly saved: string;
}
